"""One test for each way in which a case can end."""

import pytest
def test_pass(): pass
def test_fail(): assert 1 == 2, "numbers\nline"
def test_fail_unicode(): assert "ü\x1b[31m\x07" == "é\ud800"
def test_empty(): raise AssertionError()
def test_fail_call(): pytest.fail("just so", pytrace=False)
def test_skip(): pytest.skip("not today")
@pytest.mark.skip
def test_skip_mark(): pass
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.mark.xfail(reason="known")
def test_xfail_reason(): assert 0
@pytest.mark.xfail
def test_xpass(): pass
@pytest.mark.xfail(strict=True, reason="must")
def test_xpass_strict(): pass
@pytest.fixture
def bad(): raise RuntimeError("setup broke")
@pytest.fixture
def late():
    yield
    raise RuntimeError("teardown broke")
def test_setup_error(bad): pass
def test_teardown_error(late): pass
def test_both(late): assert False, "call too"
@pytest.mark.parametrize("x", ["a", "b::c", "d[e]", "a b", "", "ü", "x\n\x00y", "/p/q.py"])
def test_param(x): assert x != "b::c"
@pytest.mark.parametrize("x", [1, 2], ids=["same", "same"])
def test_dup(x): assert x == 2
class TestClass:
    def test_in(self): pass
    class TestInner:
        def test_in(self): assert 0
def test_long(): raise ValueError("x" * 40000 + "ü" * 40000)
