"""Where the keys of objects come from: a file, or a token (PKCS#11) that never gives its key away."""
