"""CUDA behind one small interface: device memory, streams, events, graphs; and a probe that is asked first."""
