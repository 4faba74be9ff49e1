import { Link } from '@tanstack/react-router'

interface TabsProps {
  /** What the tabs are of, for those who do not see them. */
  label: string
  /** The first one is shown where the address names none. */
  tabs: { id: string; label: string }[]
  chosen: string
  /** What the address calls it. */
  parameter: 'tab' | 'view'
}

/** The parts of a page, each with an address of its own. */
export function Tabs({ label, tabs, chosen, parameter }: TabsProps) {
  return (
    <nav aria-label={label} className="flex flex-wrap gap-1 border-line border-b">
      {tabs.map((tab, index) => (
        <Link
          key={tab.id}
          to="."
          search={(index === 0 ? {} : { [parameter]: tab.id }) as never}
          aria-current={tab.id === chosen ? 'page' : undefined}
          activeOptions={{ exact: true, includeSearch: true }}
          className={`-mb-px border-b-2 px-3 py-2 font-medium ${tab.id === chosen ? 'border-accent text-accent' : 'border-transparent text-muted hover:text-ink'}`}
        >
          {tab.label}
        </Link>
      ))}
    </nav>
  )
}
