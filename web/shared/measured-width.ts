import { useEffect, useRef, useState } from 'react'

/** The width that an element has now: a picture that is drawn by it keeps its letters legible. */
export function useMeasuredWidth<Element extends HTMLElement>(first = 320) {
  const ref = useRef<Element>(null)
  const [width, setWidth] = useState(first)
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width: found } = entry.contentRect
      // Nothing while it is not shown.
      if (found > 0) setWidth(Math.floor(found))
    })
    observer.observe(ref.current!)
    return () => observer.disconnect()
  }, [])
  return { ref, width }
}
