const strokes = {
  clock: 'M12 7v5l3.5 2M12 3a9 9 0 1 0 .01 0',
  again: 'M4 12a8 8 0 1 0 2.6-5.9M4 3v4.5h4.5',
  offline: 'M2 9a15 15 0 0 1 20 0M6 13a9.5 9.5 0 0 1 12 0M12 18h.01M4 3l16 18',
}

/** Drawn, for a tablet may lack a font that has it; as large as the text around it. */
export function Glyph({ name }: { name: keyof typeof strokes }) {
  return (
    <svg
      viewBox="0 0 24 24"
      aria-hidden="true"
      className="size-[1em] shrink-0"
      fill="none"
      stroke="currentColor"
      strokeWidth="2.4"
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      <path d={strokes[name]} />
    </svg>
  )
}
