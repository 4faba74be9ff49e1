import { type ReactNode, useEffect } from 'react'
import { Switches } from './switches.tsx'

/** The frame of what is seen before anybody is signed in. */
export function Entrance({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Rollcall`
  }, [title])
  return (
    <main className="mx-auto flex min-h-dvh w-full max-w-md flex-col justify-center gap-6 p-4">
      <div className="flex items-center gap-3">
        <img src="/icon.svg" alt="" width="44" height="44" />
        <span className="font-semibold text-2xl tracking-tight">Rollcall</span>
      </div>
      <div className="rounded-2xl border border-line bg-surface p-6 shadow-sm">
        <h1 className="mb-5 font-semibold text-xl">{title}</h1>
        {children}
      </div>
      <Switches />
    </main>
  )
}
