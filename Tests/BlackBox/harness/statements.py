"""`@statements("MQTT-3.3.2-15", "MQTT311-3.3.2-3")`: the normative statements that a test proves.

`Sources/Node/SkerryNode/Documentation.docc/Statements.md` lists all of them; `skerry-dev tidy` compares the two.
"""

import pytest


def statements(*numbers: str):
    return pytest.mark.statements(*numbers)


BOTH = pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5.0"])
ALL = pytest.mark.parametrize("version", [3, 4, 5], ids=["3.1", "3.1.1", "5.0"])
EARLIER = pytest.mark.parametrize("version", [3, 4], ids=["3.1", "3.1.1"])
