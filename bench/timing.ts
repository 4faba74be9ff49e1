/** Milliseconds of one call: medians of interleaved runs. CPU is that of all the threads of the process. */
export interface Timing {
  wallMs: number
  cpuMs: number
}

/** Times the kinds in turn, again and again, so that a slow spell of the machine hits all of them. */
export async function timeInTurn<K extends string>(
  kinds: Record<K, () => unknown>,
  { rounds, warmUpRounds }: { rounds: number; warmUpRounds: number },
): Promise<Record<K, Timing>> {
  const names = Object.keys(kinds) as K[]
  const timings = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<K, Timing[]>
  for (let round = -warmUpRounds; round < rounds; round++)
    for (const name of names) {
      const cpu = process.cpuUsage()
      const start = performance.now()
      await kinds[name]()
      const wallMs = performance.now() - start
      if (round >= 0) timings[name].push({ wallMs, cpuMs: cpuMsSince(cpu) })
    }
  return Object.fromEntries(names.map((name) => [name, medianTiming(timings[name])])) as Record<K, Timing>
}

export function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

export function medianTiming(timings: Timing[]): Timing {
  return {
    wallMs: quantile(
      timings.map(({ wallMs }) => wallMs),
      0.5,
    ),
    cpuMs: quantile(
      timings.map(({ cpuMs }) => cpuMs),
      0.5,
    ),
  }
}

/** The value that a share of the others does not exceed (nearest rank); NaN without any. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
