// Markup that cells put out goes into a page as it is, and must end where it ends: a comment or a tag that stays open, or
// one that closes what the page itself has opened, would take the rest of the page along. What a browser might read in
// another way than it is read here is refused.

const words = (list: string) => new Set(list.split(" "));

/** Elements that have no end tag. */
const empty = words("area base br col embed hr img input link meta param source track wbr");

/** Elements whose end tag may be left out: their parent's end is theirs. */
const mayStayOpen = words("li p dt dd tr td th thead tbody tfoot caption colgroup option optgroup rt rp");

/** Elements that hold text and no markup. */
const textOnly = words("script style textarea title xmp iframe noembed noframes noscript");

/** Parts of a document that a browser passes over within another. */
const passedOver = words("html head body");

/** Elements of HTML that end a drawing around them. */
const endsDrawing = words(
  "b big blockquote br center code dd div dl dt em embed font h1 h2 h3 h4 h5 h6 hr i img li listing menu nobr ol p pre " +
    "ruby s small span strong strike sub sup table tt u ul var",
);

/** Where HTML stands in a drawing. */
const htmlInDrawing = words("foreignobject desc title annotation-xml");

/** A browser closes what nests deeper at places of its own choice. */
const deepest = 500;

const begins = /<(?:(?<comment>!--)|(?<declaration>[!?])|(?<end>\/?)(?<written>[a-z][^\s/>]*))/gi;
const attributes = /((?:[\s/]+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+(?=[\s>])))?)*[\s/]*)>/y;

/** Why markup must not stand in a page: what in it does not end, or ends what is not its own; undefined where it may. */
export function troubleInMarkup(html: string): string | undefined {
  const open: string[] = [];
  let at = 0;
  /** Goes on behind the next `ending`; false where there is none. */
  const passes = (ending: RegExp): RegExpExecArray | null => {
    ending.lastIndex = at;
    const found = ending.exec(html);
    if (found) at = ending.lastIndex;
    return found;
  };
  for (let match = passes(begins); match; match = passes(begins)) {
    const { comment, declaration, end, written = "" } = match.groups!;
    if (comment) {
      at -= 2; // <!--> is a whole comment
      if (!passes(/--!?>/g)) return "its comment does not end";
      continue;
    }
    if (declaration) {
      if (!passes(/>/g)) return `its <${declaration} does not end`;
      continue;
    }
    const name = written.toLowerCase();
    const tag = `<${end}${name}>`;
    const given = passes(attributes)?.[1];
    if (given === undefined) return `its ${tag} does not end, or has attributes that cannot be read`;
    if (name === "plaintext" || (name === "meta" && /http-equiv/i.test(given)))
      return `its ${tag} would act on the whole page`;
    if (passedOver.has(name) || empty.has(name)) continue;
    if (end) {
      while (open.length > 0 && open.at(-1) !== name && mayStayOpen.has(open.at(-1)!)) open.pop();
      if (open.at(-1) === name) open.pop();
      else if (!mayStayOpen.has(name)) return `its ${tag} ends what it has not begun, or too early`;
      continue;
    }
    const place = open.findLast((one) => one === "svg" || one === "math" || htmlInDrawing.has(one));
    const isDrawn = place === "svg" || place === "math";
    if (isDrawn && endsDrawing.has(name)) return `its ${tag} stands in a drawing`;
    if ((isDrawn || name === "svg" || name === "math") && given.endsWith("/")) continue;
    if (textOnly.has(name) && !(isDrawn && htmlInDrawing.has(name))) {
      const begun = at;
      const found = passes(new RegExp(`</${name}[\\s/]*>`, "gi"));
      if (!found) return `its ${tag} does not end`;
      if (isDrawn && html.slice(begun, found.index).includes("<"))
        return `its ${tag} holds markup in a drawing`;
    } else if (open.push(name) > deepest) return `it nests deeper than ${deepest}`;
  }
  const left = open.find((name) => !mayStayOpen.has(name));
  return left && `its <${left}> does not end`;
}
