// What stands below the viewer on its case: numbers, and a button for each lesion.

// Buttons of one case; its table holds all lesions.
const LISTED = 200;

const sizeText = (row, of) => `${RowTable.text(row[`${of}_${DATA.unit.key}`], {})} ${DATA.unit.name}`;

/** The case's numbers (row: of the table of cases), and by how much it is drawn coarser. */
function caseFacts(row, shrink) {
  const facts = [
    ["Reference ", sizeText(row, "reference")], [" · prediction ", sizeText(row, "prediction")], [" · Dice ", RowTable.text(row.dice, {})],
    [" · missed ", `${row.missed} of ${row.n_reference}`], [" · false positives ", RowTable.text(row.false_positives, {})],
  ];
  const bold = (textContent) => Object.assign(document.createElement("b"), { textContent });
  return [...facts.flatMap(([title, value]) => [title, bold(value)]), ...(shrink > 1 ? [` · drawn ${shrink} times coarser`] : [])];
}

/** List items: a button each, the one whose key is `key` selected; a click hands the lesion to `onPick`. */
function lesionButtons(lesions, { key, marks, onPick }) {
  const items = lesions.slice(0, LISTED).map((lesion) => {
    const [role, , mark] = marks[lesion.fate];
    const button = Object.assign(document.createElement("button"), { type: "button", title: lesion.fate });
    button.dataset.key = lesion.key;
    button.append(Object.assign(document.createElement("span"), { className: `fate-${role}`, textContent: mark }), ` ${sizeText(lesion, "volume")}`);
    button.classList.toggle("selected", lesion.key === key);
    button.addEventListener("click", () => onPick(lesion));
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  const more = lesions.length - LISTED;
  return more > 0 ? [...items, Object.assign(document.createElement("li"), { textContent: `and ${more.toLocaleString("en")} more in the table` })] : items;
}
