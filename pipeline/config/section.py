"""What every section of the config is made of."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0)]
Number = TypeVar("Number")
TAGS = NUMBER, KEYWORD, ONE, BANDS = "<number>", "<keyword>", "<one>", "<bands>"  # in no message
OneNumber = Annotated[
    Annotated[Number, Tag(NUMBER)] | Annotated[str, Tag(KEYWORD)],
    Discriminator(lambda value: KEYWORD if isinstance(value, str) else NUMBER),
]
PerBand = (
    Annotated[
        Annotated[OneNumber, Tag(ONE)] | Annotated[dict[str, OneNumber], Tag(BANDS)],
        Discriminator(lambda value: BANDS if isinstance(value, dict) else ONE),
    ]
    | None
)


class Settings(BaseModel):
    """Base of all settings: immutable, an unknown key is an error, a section may be empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _empty(cls, value, info):
        """Take a section whose lines are all commented out, which YAML reads as None."""
        is_section = isinstance(cls.model_fields[info.field_name].default, Settings | dict)
        return {} if value is None and is_section else value
