// Tables of many rows: sorted by a click on a heading, filtered by a word and a choice, drawn 100 rows at a time.
class RowTable {
  /**
   * holder: an element. columns: [{key, title, note, digits, text}], a column with `text` is text.
   * choices: {name: row => boolean}. onPick: called with the row.
   */
  constructor(holder, { columns, rows, choices, sort, onPick, marks }) {
    Object.assign(this, { holder, columns, rows, choices, onPick, marks });
    this.sort = sort;
    this.limit = 100;
    this.selected = "";
    this.word = "";
    this.choice = Object.keys(choices).find((name) => rows.some(choices[name])) ?? Object.keys(choices)[0];
    this.#frame();
    this.render();
  }

  #frame() {
    const make = (tag, props = {}, ...children) => {
      const element = Object.assign(document.createElement(tag), props);
      element.append(...children);
      return element;
    };
    const search = make("input", { type: "search", placeholder: "Filter by case", ariaLabel: "Filter by case" });
    search.addEventListener("input", () => { this.word = search.value.trim().toLowerCase(); this.render(); });
    const select = make("select", { ariaLabel: "Which rows" }, ...Object.keys(this.choices).map((name) => make("option", { value: name, textContent: name })));
    select.value = this.choice;
    select.addEventListener("change", () => { this.choice = select.value; this.render(); });
    this.count = make("span", { className: "count" });
    this.count.setAttribute("role", "status");
    const filter = make("div", { className: "filter" }, search, select, this.count);
    this.headings = this.columns.map((column) => {
      const button = make("button", { type: "button", textContent: column.title, title: column.note ?? "" });
      button.addEventListener("click", () => {
        const again = this.sort.key === column.key;
        this.sort = { key: column.key, down: again ? !this.sort.down : !column.text };
        this.render();
      });
      const heading = make("th", { scope: "col" }, button);
      heading.dataset.key = column.key;
      heading.className = column.text ? "word" : "";
      return heading;
    });
    this.body = make("tbody");
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) this.onPick(this.visible[Number(row.dataset.index)]);
    });
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...this.headings)), this.body);
    this.more = make("button", { type: "button", className: "more" });
    this.more.addEventListener("click", () => { this.limit = Infinity; this.render(); });
    const scroll = make("div", { className: "rows" }, table);
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", this.holder.dataset.name ?? "");
    const caption = this.holder.dataset.caption;
    this.holder.replaceChildren(filter, scroll, this.more, ...(caption ? [make("p", { className: "note", textContent: caption })] : []));
  }

  static text(value, column) {
    if (value === null || value === undefined) return "–";
    if (column.text || typeof value === "string") return String(value);
    if (column.whole) value = Math.round(value);
    if (Number.isInteger(value)) return value.toLocaleString("en").replaceAll("-", "−");
    const digits = Math.max(0, Math.min(6, (column.digits ?? 3) - 1 - Math.floor(Math.log10(Math.abs(value)))));
    return value.toFixed(digits).replaceAll("-", "−");
  }

  render() {
    const { key, down } = this.sort;
    const sign = down ? -1 : 1;
    const keep = this.choices[this.choice];
    this.visible = this.rows.filter((row) => keep(row) && row.case.toLowerCase().includes(this.word));
    // What is undefined stands last, whichever way the rest is sorted.
    this.visible.sort((a, b) => {
      const x = a[key], y = b[key];
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
    });
    for (const heading of this.headings) {
      if (heading.dataset.key === key) heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
    this.body.replaceChildren(...this.visible.slice(0, this.limit).map((row, index) => {
      const line = document.createElement("tr");
      line.dataset.index = index;
      line.classList.toggle("selected", row.key === this.selected);
      for (const [position, column] of this.columns.entries()) {
        const cell = document.createElement("td");
        const text = RowTable.text(row[column.key], column);
        cell.className = column.text ? "word" : "";
        if (position === 0) {
          const button = document.createElement("button");
          button.type = "button";
          button.textContent = text;
          cell.append(button);
        } else if (column.key === "fate") {
          const [role, , mark] = this.marks[row.fate];
          const sign = document.createElement("span");
          sign.className = `fate-${role}`;
          sign.textContent = mark;
          cell.append(sign, ` ${text}`);
        } else cell.textContent = text;
        line.append(cell);
      }
      return line;
    }));
    this.count.textContent = `${this.visible.length.toLocaleString("en")} of ${this.rows.length.toLocaleString("en")}`;
    this.more.hidden = this.visible.length <= this.limit;
    this.more.textContent = `Show all ${this.visible.length.toLocaleString("en")} rows`;
  }

  select(key) {
    this.selected = key;
    for (const line of this.body.children) line.classList.toggle("selected", this.visible[Number(line.dataset.index)].key === key);
  }
}
