/** A choice that this browser remembers; undefined where none was made, or none of `known`. */
export function recall<Choice extends string>(name: string, known: readonly Choice[]): Choice | undefined {
  try {
    const stored = localStorage.getItem(`rollcall.${name}`)
    return known.find((choice) => choice === stored)
  } catch {
    // A browser may forbid storage: then each visit is the first.
    return undefined
  }
}

export function store(name: string, choice: string): void {
  try {
    localStorage.setItem(`rollcall.${name}`, choice)
  } catch {
    // As above.
  }
}

export function forget(name: string): void {
  try {
    localStorage.removeItem(`rollcall.${name}`)
  } catch {
    // As above.
  }
}
