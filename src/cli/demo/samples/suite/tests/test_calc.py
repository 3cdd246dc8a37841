def test_builds(build):
    _, made = build
    assert made.returncode == 0, made.stderr


def test_adds(calc):
    assert calc("2", "+", "3") == "5"


def test_subtracts(calc):
    assert calc("7", "-", "4") == "3"


def test_multiplies(calc):
    assert calc("6", "*", "7") == "42"
