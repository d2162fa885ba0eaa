"""The self-contained HTML page: pictures and tables of results, which no request ever leaves."""
