"""`nnUNetv2_sizepenalty audit -d ID`: what small lesions a data set and plan will lose, before a GPU is spent."""

import argparse
from pathlib import Path

from nnunetv2_sizepenalty.cli.processes import add_processes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-d", dest="dataset", metavar="ID", required=True, help="dataset id or name")
    parser.add_argument("-p", dest="plans", metavar="PLANS", help="default: nnUNetPlans, or the only plans there are")
    parser.add_argument(
        "-c", dest="configuration", metavar="CONFIG", help="default: 3d_fullres, or 2d where it is not planned"
    )
    parser.add_argument("-o", dest="output", metavar="FILE.html", type=Path, help="write a page as well")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where there is an error or a warning")
    add_processes(parser)


def run(args: argparse.Namespace) -> int:
    from nnunetv2_sizepenalty.audit import NOTE, audit_cases, run_checks
    from nnunetv2_sizepenalty.audit.page import write_page
    from nnunetv2_sizepenalty.audit.terminal import print_audit
    from nnunetv2_sizepenalty.cli.failures import failures_of
    from nnunetv2_sizepenalty.errors import UserError
    from nnunetv2_sizepenalty.nnunet_io.dataset import find_dataset
    from nnunetv2_sizepenalty.nnunet_io.plan import find_plan

    if args.output is not None and args.output.suffix.lower() != ".html":
        raise UserError(f"-o {args.output}: name a file that ends in .html")
    dataset = find_dataset(args.dataset)
    plan = find_plan(dataset, args.plans, args.configuration)
    audit = audit_cases(dataset, plan, processes=args.processes)
    findings = run_checks(audit)
    print_audit(audit, findings)
    if args.output is not None:
        with failures_of(args.output):
            write_page(args.output, audit, findings)
        print(f"see {args.output}")
    return int(args.strict and any(finding.severity != NOTE for finding in findings))
