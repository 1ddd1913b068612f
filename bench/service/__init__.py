"""A service with finitely many slots whose work goes on after its caller left."""
