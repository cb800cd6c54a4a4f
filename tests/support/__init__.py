"""The table of what each engine honours (docs/reference/support.md), made from the tests that ran."""
