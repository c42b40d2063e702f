"""H.264 by a program of the computer's image: pictures go in as they are, access units come out."""
