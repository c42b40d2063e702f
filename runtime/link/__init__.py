"""Topics beyond the run: a gateway that shows them to others, links to other computers, and the keys of both."""
