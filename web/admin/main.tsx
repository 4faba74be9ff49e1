import '../shared/style.css'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from '../shared/api.ts'
import { startI18n } from '../shared/i18n.ts'
import { applyTheme } from '../shared/theme.ts'
import { Toasts } from '../shared/toast.tsx'
import { router } from './router.tsx'
import { whenSessionEnds } from './session.ts'

applyTheme()
await startI18n()

const queries = new QueryClient({
  defaultOptions: {
    // A refusal stays one, however often it is asked.
    queries: {
      retry: (count, error) =>
        count < 2 && !(error instanceof ApiError && error.status > 0 && error.status < 500),
    },
  },
})

whenSessionEnds(async () => {
  // The page goes first: it would ask for all of it anew.
  await router.navigate({ to: '/admin/sign-in', search: { to: router.state.location.href } })
  queries.clear()
})

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <Toasts>
        <RouterProvider router={router} />
      </Toasts>
    </QueryClientProvider>
  </StrictMode>,
)
