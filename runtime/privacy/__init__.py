"""What may be kept and may leave, and in which form: consent by purpose, places, pseudonyms, fields."""
