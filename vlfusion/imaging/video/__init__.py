"""Videos through PyAV: decoding frames with their times, pairing two videos, encoding, copying sound."""
