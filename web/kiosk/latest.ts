import { type RefObject, useRef } from 'react'

/** The value as it is now, for what runs longer than the rendering that began it. */
export function useLatest<T>(value: T): RefObject<T> {
  const latest = useRef(value)
  latest.current = value
  return latest
}
