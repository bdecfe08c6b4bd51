"""What a row of lesions.csv is: a reference lesion, a false positive, or a predicted lesion that touches a reference
lesion without being its match (it counts in `fp` of the matching)."""

REFERENCE, FALSE_POSITIVE, UNMATCHED = "reference", "false_positive", "unmatched"
