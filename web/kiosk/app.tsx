import { useEffect, useState } from 'react'
import { KioskPage } from './kiosk-page.tsx'
import { PairPage } from './pair-page.tsx'
import { forgetKiosk, type Kiosk, loadKiosk } from './pairing.ts'

/** Pairs the tablet once, and is a kiosk from then on. */
export function App() {
  /** Undefined until it was looked for, null where it is not paired. */
  const [kiosk, setKiosk] = useState<Kiosk | null>()
  useEffect(() => {
    loadKiosk().then(
      (found) => setKiosk(found ?? null),
      () => setKiosk(null),
    )
  }, [])
  useEffect(() => {
    document.title = kiosk ? `${kiosk.name} · Rollcall` : 'Rollcall'
  }, [kiosk])
  if (kiosk === undefined) return null
  if (kiosk === null) return <PairPage onPaired={setKiosk} />
  const unpair = async () => {
    await forgetKiosk()
    setKiosk(null)
  }
  return <KioskPage key={kiosk.deviceKey} kiosk={kiosk} onChange={setKiosk} onDisowned={unpair} />
}
