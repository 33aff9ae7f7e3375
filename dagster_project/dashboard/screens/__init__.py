"""One module a page, with one function `show` that draws it."""
