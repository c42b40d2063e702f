"""A module that needs a package which is not there."""

import package_that_is_not_installed  # type: ignore[import-not-found]  # noqa: F401 - that is the point
