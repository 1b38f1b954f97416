"""Where the server of a test is.

`cargo xtask test` sets the variables; README.md of tests/clients tells how to set them by
hand.
"""

import os

import pytest

# 2100-01-01: far away, in seconds.
FAR = 4102444800


def needed(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set: see tests/clients/README.md")
    return value


@pytest.fixture
def resp_port() -> int:
    return int(needed("EAVE_RESP_PORT"))


@pytest.fixture
def rest() -> dict[str, str]:
    return {"url": needed("EAVE_REST_URL"), "token": needed("EAVE_REST_TOKEN")}
