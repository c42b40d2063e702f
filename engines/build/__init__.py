"""Plans, networks compiled for one accelerator: built in a child that may die, kept in a cache, never awaited."""
