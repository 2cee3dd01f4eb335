"""Rates and concurrency per key: never money, so they may be inexact and fail open."""
