"""What the package's HTML pages and charts share: colours, charts as files, and pages that open with no network."""
