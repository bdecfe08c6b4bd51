"""What pages and charts share: colours, charts as files, templates, and pages that open with no network."""
