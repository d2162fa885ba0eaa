"""Prediction: what a layer costs, from closed forms over columns of cases; nothing here runs torch."""
