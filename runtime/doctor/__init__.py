"""What is wrong with this computer, this manifest, or the last run: checks that each have a time limit and a remedy."""
