// A graph in DOT (https://graphviz.org/doc/info/lang.html) for people who draw it. Names and details come from whoever may write
// them, so every text is quoted: within quotes only the quote itself and the backslash mean anything.

export const dotMediaType = 'text/vnd.graphviz'

export interface DotNode {
  readonly id: string
  readonly label: string
  readonly shape: 'box' | 'ellipse' | 'cylinder' | 'component' | 'plaintext'
}

export interface DotEdge {
  readonly from: string
  readonly to: string
  readonly label: string
  readonly style: 'solid' | 'dashed' | 'dotted'
}

export const dotOf = (name: string, nodes: readonly DotNode[], edges: readonly DotEdge[]): string =>
  [
    `digraph ${quoted(name)} {`,
    '  rankdir=LR',
    ...nodes.map(
      ({ id, label, shape }) => `  ${quoted(id)} [label=${quoted(label)}, shape=${shape}]`,
    ),
    ...edges.map(
      ({ from, to, label, style }) =>
        `  ${quoted(from)} -> ${quoted(to)} [label=${quoted(label)}, style=${style}]`,
    ),
    '}',
    '',
  ].join('\n')

const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll(/\r?\n/g, '\\n')}"`

/** Whether a reply may be DOT: only who asks for it gets it. */
export const wantsDot = (accept: string | undefined): boolean =>
  (accept ?? '').toLowerCase().includes(dotMediaType)
