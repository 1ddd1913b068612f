"""``python -m bench fleet``: many governors in front of one service, by virtual time and for real."""
