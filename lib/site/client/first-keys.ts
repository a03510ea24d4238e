// What a reader runs while his notebook is still being opened waits for its kernel. JupyterLab shows the cells first, and
// what is pressed then gets lost, or asks him which kernel he wants.

/** Parts of JupyterLab's that this file uses. */
export interface Sessions {
  SessionContext: { prototype: Pick<SessionContext, "initialize"> };
}

interface SessionContext {
  readonly isReady: boolean;
  /** Starts the notebook's kernel; gives whether the reader must be asked for one. */
  initialize(): Promise<boolean>;
}

export interface App {
  commands: { execute(id: string, args?: unknown): Promise<unknown> };
  shell: { currentWidget: { sessionContext?: SessionContext } | null };
}

/** Commands that run cells. */
const runs = /^(notebook:run-|runmenu:run|console:run-)/;

/** The start of a notebook's kernel. */
interface Opening {
  /** When it is over: whether the reader is being asked for a kernel. */
  readonly ended: Promise<boolean>;
  isOver: boolean;
  over(asks: boolean): void;
}

function newOpening(): Opening {
  let end: (asks: boolean) => void;
  const ended = new Promise<boolean>((resolve) => {
    end = resolve;
  });
  const opening: Opening = {
    ended,
    isOver: false,
    over(asks) {
      opening.isOver = true;
      end(asks);
    },
  };
  return opening;
}

/** Makes the commands that run cells wait until the notebook's kernel stands. */
export function keepFirstKeys({ commands, shell }: App, { SessionContext }: Sessions): void {
  const openings = new WeakMap<SessionContext, Opening>();
  const openingOf = (context: SessionContext): Opening => {
    const opening = openings.get(context) ?? newOpening();
    openings.set(context, opening);
    return opening;
  };
  const { initialize } = SessionContext.prototype;
  SessionContext.prototype.initialize = function (this: SessionContext) {
    const start = initialize.call(this);
    const { over } = openingOf(this);
    start.then(over, () => over(true));
    return start;
  };
  const execute = commands.execute.bind(commands);
  commands.execute = async (id, args) => {
    const context = runs.test(id) ? shell.currentWidget?.sessionContext : undefined;
    if (!context || context.isReady || openingOf(context).isOver) return execute(id, args);
    const asks = await openingOf(context).ended;
    // (Who is being asked for a kernel already is not asked again.)
    return asks ? undefined : execute(id, args);
  };
}
