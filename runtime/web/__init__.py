"""A page that shows a run to a person with a browser; it reads from outside and asks nothing of any node."""
