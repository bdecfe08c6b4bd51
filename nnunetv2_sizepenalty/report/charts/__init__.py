"""Vega-Lite specs: the page draws them, and the PNG and SVG files are made from the same ones.

A chart reads the named datasets "lesions" and "cases" (`report.rows`); what is derived stands in the chart itself.
"""
