"""Commands that ask devices."""
