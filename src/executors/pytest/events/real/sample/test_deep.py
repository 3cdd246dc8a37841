"""Tests of unittest, in a nested folder."""

import unittest
def test_deep(): pass
class T(unittest.TestCase):
    def test_u(self): self.assertEqual(1, 2)
    @unittest.expectedFailure
    def test_x(self): self.assertEqual(1, 2)
    @unittest.expectedFailure
    def test_xp(self): pass
    @unittest.skip("us")
    def test_s(self): pass
