import { createHash } from 'node:crypto'
import type { FaceEngine } from './engine.ts'
import type { Analysis, Choice } from './pipeline.ts'

/** An engine that remembers what it saw in single pictures. */
export interface CachedEngine extends FaceEngine {
  cache: {
    /** Pictures since the start for which no network had to run. */
    hits(): number
    /** Pictures whose analyses are kept now. */
    size(): number
    /** Drops them all: they hold biometric data, and nobody knows whose. */
    forget(): void
  }
}

/** How many analyses a server keeps; each takes some 12 KB. */
export const CACHED_PICTURES = 1000

/**
 * The engine with the analyses of the last `limit` different pictures kept, least recently used out first; 0 keeps none.
 * Who asks for a picture that is being analysed waits for that analysis. A failure is not kept, and while the networks
 * are known to be broken they are asked each time. What is answered from the cache has timings of 0, because nothing ran.
 *
 * The pictures of a burst are not looked up: which of them are embedded is decided among all of them, and a burst that
 * is the same as an earlier one is a replay, not a second try.
 */
export function cached(engine: FaceEngine, limit: number): CachedEngine {
  /** By pack, choice and hash of the picture, least recently used first. */
  const kept = new Map<string, Promise<Analysis>>()
  let hits = 0

  async function analyse(bytes: Uint8Array, choice: Choice = 'only'): Promise<Analysis> {
    const hash = createHash('sha256').update(bytes).digest('base64')
    const key = `${engine.pack.name} ${choice} ${hash}`
    const known = engine.ready() ? kept.get(key) : undefined
    if (known) {
      keep(key, known)
      const analysis = await known
      hits++
      return { ...analysis, timings: { decode: 0, detect: 0, mesh: 0, quality: 0, pad: 0, embed: 0 } }
    }
    const fresh = engine.analyse(bytes, choice)
    keep(key, fresh)
    try {
      return await fresh
    } catch (error) {
      if (kept.get(key) === fresh) kept.delete(key)
      throw error
    }
  }

  function keep(key: string, analysis: Promise<Analysis>): void {
    kept.delete(key)
    kept.set(key, analysis)
    if (kept.size > limit) kept.delete(kept.keys().next().value!)
  }

  return {
    ...engine,
    // They may change.
    get pack() {
      return engine.pack
    },
    get looksForAttacks() {
      return engine.looksForAttacks
    },
    analyse,
    cache: { hits: () => hits, size: () => kept.size, forget: () => kept.clear() },
  }
}
