"""The durable queue on disk: every record that was acknowledged is delivered, kept, or reported as given up.

The node `outbox` alone writes here; whoever empties it (the node `uplink`) claims segments by renaming them (`claims`).
"""
