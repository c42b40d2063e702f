"""Conditions over topics: what starts a clip of the recorder or a campaign, as a person writes it."""
