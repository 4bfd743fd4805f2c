"""What all sections of a fleet file share."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from workers.config.section import Positive, Section


class Example(Section):
    count: Positive = 1


@pytest.mark.parametrize("values", [{"count": 0}, {"count": 10**12 + 1}, {"cuont": 1}])
def test_numbers_have_a_bound_and_unknown_settings_are_refused(values: dict[str, Any]) -> None:
    assert Example(count=10**12).count == 10**12
    with pytest.raises(ValidationError):
        Example(**values)


def test_a_section_does_not_change() -> None:
    section: Any = Example()
    with pytest.raises(ValidationError, match="frozen"):
        section.count = 2
