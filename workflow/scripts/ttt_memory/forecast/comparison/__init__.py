"""What all forecasts together show: the leaderboard, the results read back, and the figures."""
