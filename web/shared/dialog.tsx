import { type ReactNode, useId, useLayoutEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from './button.tsx'

interface DialogProps {
  title: ReactNode
  children: ReactNode
  onClose: () => void
  /** Of a dialog with a table or pictures in it. */
  isWide?: boolean
}

/**
 * A modal dialog, open as long as it is drawn. The browser's own: it keeps the focus inside, closes with Escape, and
 * needs no style element, which the content security policy would refuse.
 */
export function Dialog({ title, children, onClose, isWide }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  // Before the browser draws, and above all before the element is gone: only then the focus goes back to where it was.
  useLayoutEffect(() => {
    const dialog = ref.current!
    const before = document.activeElement
    dialog.showModal()
    return () => {
      dialog.close()
      if (before instanceof HTMLElement) before.focus()
    }
  }, [])
  return (
    <dialog
      ref={ref}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      className={`m-auto max-h-[90dvh] max-w-[calc(100vw-2rem)] overflow-auto rounded-2xl border border-line bg-surface p-6 text-ink shadow-xl backdrop:bg-black/50 max-sm:p-4 ${isWide ? 'w-[56rem]' : 'w-[36rem]'}`}
    >
      <h2 id={id} className="mb-4 font-semibold text-xl">
        {title}
      </h2>
      {children}
    </dialog>
  )
}

interface ConfirmProps {
  title: ReactNode
  /** What will happen, and what cannot be undone. */
  children: ReactNode
  /** What the button says: the act itself. */
  act: ReactNode
  busy?: boolean
  onConfirm: () => void
  onClose: () => void
}

/** Asks before a destructive act. */
export function Confirm({ title, children, act, busy, onConfirm, onClose }: ConfirmProps) {
  const { t } = useTranslation()
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="mb-6 space-y-2 text-muted">{children}</div>
      <div className="flex flex-wrap justify-end gap-3">
        <Button onClick={onClose}>{t('common.cancel')}</Button>
        <Button look="danger" busy={busy} onClick={onConfirm}>
          {act}
        </Button>
      </div>
    </Dialog>
  )
}
