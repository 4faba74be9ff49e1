import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from 'react'

interface Toast {
  id: number
  tone: 'good' | 'bad'
  text: ReactNode
}

type Tell = (text: ReactNode, tone?: Toast['tone']) => void

const ToastContext = createContext<Tell>(() => {})
const SHOWN_MS = 6000
let lastId = 0

/** Tells the person something in a corner, for a moment; screen readers read it. */
export const useToast = () => useContext(ToastContext)

export function Toasts({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<Toast[]>([])
  const tell = useCallback<Tell>((text, tone = 'good') => {
    const id = ++lastId
    setToasts((shown) => [...shown, { id, tone, text }])
    setTimeout(() => setToasts((shown) => shown.filter((toast) => toast.id !== id)), SHOWN_MS)
  }, [])
  const list = useMemo(
    () =>
      toasts.map(({ id, tone, text }) => (
        <div
          key={id}
          className={`rounded-xl border border-line p-4 shadow-lg ${tone === 'good' ? 'bg-good-soft text-good' : 'bg-bad-soft text-bad'}`}
        >
          <span aria-hidden="true">{tone === 'good' ? '✓ ' : '! '}</span>
          {text}
        </div>
      )),
    [toasts],
  )
  return (
    <ToastContext value={tell}>
      {children}
      <div
        role="status"
        className="fixed right-4 bottom-4 left-4 z-50 flex flex-col gap-2 sm:left-auto sm:w-96"
      >
        {list}
      </div>
    </ToastContext>
  )
}
