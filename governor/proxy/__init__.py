"""The rim: uvloop protocols and httptools; bytes in, bytes out."""
