"""What probabilities are worth: metrics, calibration, plots, whatever model made them. No torch here."""
